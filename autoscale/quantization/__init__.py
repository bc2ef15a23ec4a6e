"""A network as device runtimes run it: a graph of their operations, in float or in int8."""
