"""Catalogues of claims: folders of data."""
