//! Who `name[:group]` is, by a container's own `/etc/passwd` and `/etc/group`.
//!
//! The rules and the wording are Docker's, since scripts match on both. A number always means
//! an id, even if a user has that number for a name, and need not be in the file.

/// Who a process runs as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) additional_groups: Vec<u32>,
    /// The home folder, if the user is in the file.
    pub(crate) home: Option<String>,
}

/// The largest id, as Docker has it.
const ID_MAX: u64 = (1 << 31) - 1;

struct User<'a> {
    name: &'a str,
    id: u32,
    group: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    id: u32,
    members: &'a str,
}

/// Looks `wanted` up: `""`, `user`, `user:group`, each by name or number.
pub(super) fn find(wanted: &str, passwd: &str, group: &str) -> Result<Identity, String> {
    let (user, group_wanted) = wanted.split_once(':').unwrap_or((wanted, ""));
    let user = if user.is_empty() { "0" } else { user };
    let found = match user.parse::<u64>() {
        Ok(number) => {
            let id = id_of(number)?;
            (id, users(passwd).find(|known| known.id == id))
        }
        Err(_) => {
            let known = users(passwd).find(|known| known.name == user).ok_or_else(|| {
                format!("unable to find user {user}: no matching entries in passwd file")
            })?;
            (known.id, Some(known))
        }
    };
    let (id, known) = found;
    let mut identity = Identity {
        user: id,
        group: known.as_ref().map_or(0, |known| known.group),
        additional_groups: Vec::new(),
        home: known.as_ref().map(|known| known.home.to_owned()),
    };
    if group_wanted.is_empty() {
        let name = known.map_or("", |known| known.name);
        identity.additional_groups = groups_of_member(group, name);
    } else {
        identity.group = find_group(group_wanted, group).ok_or_else(|| {
            format!("unable to find group {group_wanted}: no matching entries in group file")
        })??;
    }
    Ok(identity)
}

/// The ids of groups by name or number.
pub(super) fn find_groups(wanted: &[String], group: &str) -> Result<Vec<u32>, String> {
    wanted
        .iter()
        .map(|wanted| {
            find_group(wanted, group).ok_or_else(|| format!("Unable to find group {wanted}"))?
        })
        .collect()
}

/// The home folder of a user by id.
pub(super) fn home_of(id: u32, passwd: &str) -> Option<String> {
    users(passwd).find(|known| known.id == id).map(|known| known.home.to_owned())
}

fn find_group(wanted: &str, text: &str) -> Option<Result<u32, String>> {
    if let Ok(number) = wanted.parse::<u64>() {
        return Some(id_of(number));
    }
    groups(text).find(|known| known.name == wanted).map(|known| Ok(known.id))
}

fn groups_of_member(text: &str, name: &str) -> Vec<u32> {
    if name.is_empty() {
        return Vec::new();
    }
    groups(text)
        .filter(|group| group.members.split(',').any(|member| member == name))
        .map(|group| group.id)
        .collect()
}

fn id_of(number: u64) -> Result<u32, String> {
    if number > ID_MAX {
        return Err(format!("uids and gids must be in range 0-{ID_MAX}"));
    }
    Ok(u32::try_from(number).expect("the largest id is far below"))
}

/// `name:password:id:group:comment:home:shell` a line. Other lines are passed over.
fn users(text: &str) -> impl Iterator<Item = User<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or("");
        Some(User { name, id, group, home })
    })
}

/// `name:password:id:member,member` a line. Other lines are passed over.
fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let id = fields.nth(1)?.parse().ok()?;
        let members = fields.next().unwrap_or("");
        Some(Group { name, id, members })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
# a comment
www:x:33:33:www:/var/www:/bin/false
1000:x:77:77::/odd:
";
    const GROUP: &str = "\
root:x:0:
www:x:33:
wheel:x:10:root,www
video:x:44:www
";

    #[track_caller]
    fn check(wanted: &str, user: u32, group: u32, additional: &[u32], home: Option<&str>) {
        let expected = Identity {
            user,
            group,
            additional_groups: additional.to_vec(),
            home: home.map(str::to_owned),
        };
        assert_eq!(find(wanted, PASSWD, GROUP).unwrap(), expected);
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        check("", 0, 0, &[10], Some("/root"));
        check("www", 33, 33, &[10, 44], Some("/var/www"));
        check("33", 33, 33, &[10, 44], Some("/var/www"));
        check("4711", 4711, 0, &[], None);
        // A number is an id, whatever names there are.
        check("1000", 1000, 0, &[], None);
    }

    #[test]
    fn a_named_group_takes_the_place_of_all_others() {
        check("www:wheel", 33, 10, &[], Some("/var/www"));
        check("www:99", 33, 99, &[], Some("/var/www"));
        check(":wheel", 0, 10, &[], Some("/root"));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let error = find("nope", PASSWD, GROUP).unwrap_err();
        assert_eq!(error, "unable to find user nope: no matching entries in passwd file");
        let error = find("www:nope", PASSWD, GROUP).unwrap_err();
        assert_eq!(error, "unable to find group nope: no matching entries in group file");
        let error = find_groups(&["nope".to_owned()], GROUP).unwrap_err();
        assert_eq!(error, "Unable to find group nope");
        let error = find("2147483648", PASSWD, GROUP).unwrap_err();
        assert_eq!(error, "uids and gids must be in range 0-2147483647");
    }

    #[test]
    fn further_groups_are_found_both_ways() {
        let wanted = ["video".to_owned(), "7".to_owned()];
        assert_eq!(find_groups(&wanted, GROUP).unwrap(), [44, 7]);
    }
}
