"""Files of fitted models: schema, writing and reading. Files are untrusted, and no method is known here."""
