"""Reading real files: each format answers `probe` and `read`; one pipeline does the rest."""
