"""Many runs: notebooks with parameters, sweeps and reports."""
