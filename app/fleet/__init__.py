"""The fleet: every registered content media with its event, its job and how far AVOS is in step."""
