"""What stand-ins are made of: the sockets, the journal, and the switches for every way to fail."""
