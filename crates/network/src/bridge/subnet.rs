//! Choosing a subnet that the host doesn't use yet.

use crate::address::Cidr;
use crate::settings::Pool;

/// The bridge's address in the first subnet of the pools that overlaps none of `taken`.
pub(super) fn choose(pools: &[Pool], taken: &[Cidr]) -> Option<Cidr> {
    pools.iter().flat_map(subnets).find_map(|subnet| {
        let is_free = !taken.iter().any(|network| network.overlaps(subnet));
        is_free.then(|| first_host(subnet)).flatten()
    })
}

fn subnets(pool: &Pool) -> impl Iterator<Item = Cidr> {
    let Pool { base, size } = *pool;
    let first = base.network().address().to_bits();
    let last = base.broadcast().to_bits();
    // A prefix of 32 bits holds no container; one shorter than the pool's is the pool.
    let size = size.clamp(base.prefix(), 31);
    let step = 1_usize << (32 - size);
    (first..=last).step_by(step).filter_map(move |bits| Cidr::new(bits.into(), size))
}

fn first_host(subnet: Cidr) -> Option<Cidr> {
    let address = subnet.network().address().to_bits().checked_add(1)?;
    Cidr::new(address.into(), subnet.prefix())
}

#[cfg(test)]
mod tests {
    use crate::address::Cidr;
    use crate::settings::{Pool, default_pools};

    #[track_caller]
    fn check(pools: &[Pool], taken: &[&str], expected: Option<&str>) {
        let taken: Vec<Cidr> = taken.iter().map(|text| text.parse().unwrap()).collect();
        let chosen = super::choose(pools, &taken).map(|cidr| cidr.to_string());
        assert_eq!(chosen.as_deref(), expected);
    }

    #[test]
    fn the_first_free_subnet_is_chosen() {
        let pools = default_pools();
        check(&pools, &[], Some("172.17.0.1/16"));
        check(&pools, &["172.17.0.0/16"], Some("172.18.0.1/16"));
        check(&pools, &["172.17.3.4/32", "172.18.0.0/15"], Some("172.20.0.1/16"));
        check(&pools, &["172.16.0.0/12", "192.168.1.0/24"], Some("192.168.16.1/20"));
        check(&pools, &["172.16.0.0/12", "192.168.0.0/16"], None);
    }

    #[test]
    fn a_pool_is_cut_into_its_size() {
        let pool = Pool { base: "10.0.0.0/8".parse().unwrap(), size: 24 };
        check(&[pool], &[], Some("10.0.0.1/24"));
        check(&[pool], &["10.0.0.0/16"], Some("10.1.0.1/24"));
        let whole = Pool { base: "10.0.0.0/24".parse().unwrap(), size: 8 };
        check(&[whole], &[], Some("10.0.0.1/24"));
    }
}
