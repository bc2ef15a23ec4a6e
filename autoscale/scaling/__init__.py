"""How a network grows: grids of coefficients, budgets, and families of sizes."""
