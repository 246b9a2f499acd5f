"""Loss terms: pure functions of tensors that return one value per sample, without weights or reduction."""
