"""Forms of annotation: one file a form, and the catalogue that picks one."""
