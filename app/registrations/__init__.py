"""Registrations: which livestream is shown as which content media."""
