"""Where events go: one file per kind of destination, one method each, and one contract suite for all of them.

`base` is the interface, `factory.Sinks` checks and builds sinks, `signatures` makes and checks the webhooks' secrets."""
