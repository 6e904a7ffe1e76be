# Of requirements-dev.lock, what builds the package, hashes included.
/^[a-z]/ { keep = /^(editables|hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ }
keep
