"""Serving: a measurement as DICOM and FHIR objects, over HTTP, in a loop with a PACS, and on a page that corrects it.

The package stands above ``inference`` and ``validation`` and below ``orchestration``: it measures and answers, and it
decides nothing about models. Its libraries come with the extra ``plumbline[serving]``. It imports neither torch nor
Dagster, and MLflow only where a model is loaded for MLflow's own server.

    results/      a measurement as DICOM SR, secondary capture, presentation state, PDF and FHIR bundle
    mlflow_model  the registered model as MLflow's users load it
    service/      the HTTP service, the served champion, shadow runs of a challenger
    watch/        the loop with a PACS over DICOMweb
    correction/   the page that shows and corrects landmarks, and the record of a correction
"""
