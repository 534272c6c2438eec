//! The file in which Amazon's own tools keep keys: sections of lines `name = value`.

use super::Keys;

/// The keys of a profile, where the file has both.
pub fn profile(file: &str, name: &str) -> Option<Keys> {
    let lines = file.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let inside =
        lines.skip_while(|line| title(line) != Some(name)).skip(1).take_while(|line| title(line).is_none());
    let pairs: Vec<(&str, &str)> = inside
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let value = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| (*value).to_owned()).filter(|value| !value.is_empty())
    };
    Some(Keys {
        id: value("aws_access_key_id")?,
        secret: value("aws_secret_access_key")?,
        session_token: value("aws_session_token"),
    })
}

fn title(line: &str) -> Option<&str> {
    line.strip_prefix('[')?.split_once(']').map(|(name, _)| name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_the_lines_of_its_section() {
        let file = "# keys\n[default]\naws_access_key_id=A\naws_secret_access_key = b=/+ \n\n[ other ]\naws_access_key_id = C\n\
            ; no\nAWS_SECRET_ACCESS_KEY = d\naws_session_token = e\n[half]\naws_access_key_id = F\n";
        let keys = |id: &str, secret: &str, token: Option<&str>| {
            let (id, secret, session_token) = (id.to_owned(), secret.to_owned(), token.map(str::to_owned));
            Some(Keys { id, secret, session_token })
        };
        assert_eq!(profile(file, "default"), keys("A", "b=/+", None));
        assert_eq!(profile(file, "other"), keys("C", "d", Some("e")));
        assert_eq!(profile(file, "half"), None);
        assert_eq!(profile(file, "none"), None);
        assert_eq!(profile("", "default"), None);
    }
}
