"""How a claim is stated, measured and recorded."""
