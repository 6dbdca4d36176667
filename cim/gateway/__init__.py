"""The gateway's rules: which addresses may be reached, which headers pass, how answers are made ours. Pure but for `resolve`."""
