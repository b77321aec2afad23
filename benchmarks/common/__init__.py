"""What every benchmark needs: models and data made on the spot, fair processes, the machine's limit, a table."""
