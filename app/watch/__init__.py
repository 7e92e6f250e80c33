"""Is anybody working: canaries in every queue and for every worker process, the pulse of beat, the state of the store."""
