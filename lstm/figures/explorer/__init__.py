"""The explorer: a page of maps in which one looks at single numbers of flows."""
