"""What is asked (`FeatureQuery`) and what may be seen (`Scope`) → `Sql`. Pure: no I/O, no await, no request."""
