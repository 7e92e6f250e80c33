"""Start/stop schedules: live jobs that are activated and deactivated on time."""
