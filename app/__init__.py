"""The domain of mediaops-sync and its HTTP door; `docs/data-model.md` says what it records."""
