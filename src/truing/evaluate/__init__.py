"""Proof: who answers better, how sure that is, and a report that says so."""
