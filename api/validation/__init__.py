"""Rules that many kinds share: names, metadata, selectors, quantities. Pure functions from values to
causes."""
