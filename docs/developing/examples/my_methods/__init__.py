"""Two methods in a package of their own, the examples of docs/developing/new-method.md."""
