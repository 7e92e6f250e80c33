"""The API's HTTP side: what the packages' routes stand on, and the factory that puts them together."""
