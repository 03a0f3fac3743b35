"""Work on a Ray cluster, where ``PLUMBLINE_RAY_ADDRESS`` names one.

Only this package and ``dagster`` import Ray, and only in functions: on one machine nothing of Ray is loaded or started.
What a task does belongs in the package whose work it is; what a step does with the results belongs in ``pipeline``.

    connection    reaches the cluster, or refuses with a reason within seconds
    fit_on_nodes  a process group for a fit, with one torchrun on each node
    node_check    a node must see the shared folder and run the same code
    ray_work      ``spine.work.Work`` on the nodes of the cluster
"""
