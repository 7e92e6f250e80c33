"""The sample plan that ships with the project, and what writes it."""
