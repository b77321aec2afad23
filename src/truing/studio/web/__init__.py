"""The studio in the browser: pages, the small interface behind them, and who may see what."""
