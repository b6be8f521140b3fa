//! API 1.50 and older.

use docker_api::ApiVersion;
use docker_api::images::ImageSummary;

pub(super) const LAST: ApiVersion = ApiVersion::new(50);

/// The containers of an image were not counted.
pub(super) fn image_list(images: &mut [ImageSummary]) {
    for image in images {
        image.containers = -1;
    }
}
