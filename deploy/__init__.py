"""How the system is put to work: stand-ins, sample data, containers."""
