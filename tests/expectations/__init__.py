"""What the outside must show, computed without anything from `app`."""
