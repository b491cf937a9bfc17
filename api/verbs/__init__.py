"""The verbs, one file each, over the store and the strategies. No HTTP here: what comes in is an `Ask` and
plain objects, what goes out is an `Outcome`, a list or a stream of events. Nothing here knows any
particular kind."""
