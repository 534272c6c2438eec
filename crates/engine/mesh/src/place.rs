//! Which rank a process is, from the variables that every launcher of distributed jobs sets.

use crate::MeshError;

/// A process's place in the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `RANK`: number of the process among all, from 0.
    pub rank: usize,
    /// `WORLD_SIZE`: number of processes.
    pub size: usize,
    /// `LOCAL_RANK`: number of the process on its host, which is the number of its device.
    pub local_rank: usize,
    /// `MASTER_ADDR`: host of rank 0.
    pub host: String,
    /// `MASTER_PORT`: port on which rank 0 listens.
    pub port: u16,
}

/// The variables, in the order of the fields of [`Place`].
pub const VARIABLES: [&str; 5] = ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"];

impl Place {
    /// The place that the variables give; none where neither `RANK` nor `WORLD_SIZE` is set. `LOCAL_RANK` defaults to `RANK`
    /// where all ranks are on one host, i.e. `MASTER_ADDR` is absent or a loopback address.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Option<Place>, MeshError> {
        let [rank, size, local, host, port] = VARIABLES;
        if get(rank).is_none() && get(size).is_none() {
            return Ok(None);
        }
        let number = |name: &'static str| {
            let text = get(name).ok_or(MeshError::Variable { name, value: None })?;
            text.trim().parse::<usize>().map_err(|_| MeshError::Variable { name, value: Some(text) })
        };
        let (rank_number, size_number) = (number(rank)?, number(size)?);
        if rank_number >= size_number {
            return Err(MeshError::Variable {
                name: rank,
                value: Some(format!("{rank_number} of {size_number}")),
            });
        }
        let address = get(host).unwrap_or_else(|| "127.0.0.1".to_owned());
        let one_host = matches!(address.as_str(), "127.0.0.1" | "localhost" | "::1");
        let local_rank = match get(local) {
            None if one_host => rank_number,
            _ => number(local)?,
        };
        let port_number = match size_number {
            1 => 0,
            _ => {
                number(port)?.try_into().map_err(|_| MeshError::Variable { name: port, value: get(port) })?
            }
        };
        Ok(Some(Place { rank: rank_number, size: size_number, local_rank, host: address, port: port_number }))
    }
    /// The variables that put a process in this place.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        let values = [
            self.rank.to_string(),
            self.size.to_string(),
            self.local_rank.to_string(),
            self.host.clone(),
            self.port.to_string(),
        ];
        std::array::from_fn(|i| (VARIABLES[i], values[i].clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> Result<Option<Place>, MeshError> {
        Place::read(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_place_is_read_from_the_launchers_variables() {
        assert_eq!(check(&[("PATH", "x")]).expect("none is fine"), None);
        let place = Place { rank: 3, size: 8, local_rank: 1, host: "node-a".to_owned(), port: 29_500 };
        let variables = place.variables();
        let pairs: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();
        assert_eq!(check(&pairs).expect("complete"), Some(place));
        let one_host = check(&[("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "5")]).expect("complete");
        assert_eq!(one_host.map(|p| (p.local_rank, p.host)), Some((1, "127.0.0.1".to_owned())));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let text = |variables: &[(&str, &str)]| check(variables).expect_err("an error").to_string();
        assert!(text(&[("RANK", "0")]).contains("WORLD_SIZE"));
        assert!(text(&[("RANK", "x"), ("WORLD_SIZE", "2")]).contains("\"x\""));
        assert!(text(&[("RANK", "2"), ("WORLD_SIZE", "2")]).contains("2 of 2"));
        assert!(text(&[("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "99999")]).contains("99999"));
        let two_hosts = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "node-a"), ("MASTER_PORT", "5")];
        assert!(text(&two_hosts).contains("LOCAL_RANK"));
    }
}
