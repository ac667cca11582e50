//! The counters in Prometheus' text format, for an app that serves them itself.

use std::sync::Arc;

use axum::routing::{MethodRouter, get};
use http::header;
use metrics::Recorder;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::observe::Observer;

/// A recorder of the app's own, so that two apps in one process do not count into each other.
pub(crate) fn recorder(wanted: bool) -> (Option<Box<dyn Recorder + Send + Sync>>, Option<PrometheusHandle>) {
    if !wanted {
        return (None, None);
    }
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (Some(Box::new(recorder)), Some(handle))
}

pub(crate) fn route<S: Clone + Send + Sync + 'static>(
    scrape: PrometheusHandle,
    observer: Arc<Observer>,
) -> MethodRouter<S> {
    get(async move || {
        observer.flush();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], scrape.render())
    })
}
