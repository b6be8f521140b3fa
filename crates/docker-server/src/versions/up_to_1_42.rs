//! API 1.42 and older.

use docker_api::ApiVersion;
use docker_api::containers::HostConfig;
use docker_api::images::ImageSummary;

pub(super) const LAST: ApiVersion = ApiVersion::new(42);

/// There were no annotations.
pub(super) fn create(host: &mut HostConfig) {
    host.annotations = None;
}

/// An image without a name had a name that said so, and no digests were `null`.
pub(super) fn image_list(images: &mut [ImageSummary]) {
    let is_empty = |names: &Option<Vec<String>>| names.as_ref().is_none_or(Vec::is_empty);
    for image in images {
        if is_empty(&image.repo_tags) && is_empty(&image.repo_digests) {
            image.repo_tags = Some(vec!["<none>:<none>".to_owned()]);
            image.repo_digests = Some(vec!["<none>@<none>".to_owned()]);
        }
        for names in [&mut image.repo_tags, &mut image.repo_digests] {
            if is_empty(names) {
                *names = None;
            }
        }
    }
}
