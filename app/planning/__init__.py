"""Events and jobs, as planning sends them, and what each change of them means for the content media."""
