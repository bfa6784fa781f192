"""The orchestrator: folds the event log into task state, decides what is next, and is the only writer of the log."""
