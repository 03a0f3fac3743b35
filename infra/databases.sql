-- One database each: their migrations must not meet.
CREATE DATABASE dagster;
CREATE DATABASE mlflow;
