"""What people see, before it is put on a page: tables and figures. Imports records only; no torch."""
