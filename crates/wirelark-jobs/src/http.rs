//! A queue as an HTTP route.

use serde::Serialize;
use serde::de::DeserializeOwned;
use wirelark::auth::User;
use wirelark::axum::body::Bytes;
use wirelark::axum::http::{HeaderMap, HeaderName, StatusCode, header};
use wirelark::axum::response::{IntoResponse as _, Response};
use wirelark::axum::routing::{MethodRouter, post};

use crate::error::EnqueueError;
use crate::jobs::Jobs;
use crate::queue::Queue;

const JOB_ID: HeaderName = HeaderName::from_static("x-job-id");

impl Jobs {
    /// A route that enqueues what is posted to it as JSON, for the user of the request if it has one: 202 with the id in
    /// `X-Job-Id`. What does not say that it is JSON is answered with 415, what cannot be read as the JSON of a `T` with 422,
    /// what is larger than a mebibyte with 413, and a full queue with 503.
    ///
    /// The route lets everybody in. Wrap it in the layer that says who may enqueue.
    pub fn http<T, S>(&self, queue: Queue<T>) -> MethodRouter<S>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
    {
        let jobs = self.clone();
        post(async move |user: Option<User>, headers: HeaderMap, body: Bytes| {
            enqueue(&jobs, queue, user, &headers, &body).await
        })
    }
}

async fn enqueue<T>(
    jobs: &Jobs,
    queue: Queue<T>,
    user: Option<User>,
    headers: &HeaderMap,
    body: &[u8],
) -> Response
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    if !is_json(headers) {
        let text = "send the job as JSON, with `content-type: application/json`";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, text).into_response();
    }
    let payload: T = match serde_json::from_slice(body) {
        Ok(payload) => payload,
        Err(error) => return (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    };
    let mut job = jobs.enqueue(queue, &payload);
    if let Some(user) = user {
        job = job.user(user.id());
    }
    match job.await {
        Ok(id) => (StatusCode::ACCEPTED, [(JOB_ID, id.to_string())]).into_response(),
        Err(EnqueueError::PayloadTooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(EnqueueError::Full(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(error) => {
            tracing::error!(%error, queue = queue.name(), "a posted job could not be enqueued");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `application/json`, or a dialect of it, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}
