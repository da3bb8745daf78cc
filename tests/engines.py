"""Engines that hold events: a local Spark and a cluster of Dask."""

from functools import cache


@cache
def spark_session():
    """A local Spark session with two threads, whose times are in UTC."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.timestampType": "TIMESTAMP_NTZ",
        "spark.sql.shuffle.partitions": "4",
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
    }
    return SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
