/* What a traced build notes: behind the definition of each of these functions its name becomes a macro that calls it
 * and notes what came back. The kernel's text stays as it is. A step is noted when the function returns, so that the
 * innermost of two nested functions comes first. harness/skdiff/cases/steps.py names the values. A bucket holds sockets that have
 * nothing to do with the packet: compute_score() and inet_match() are noted for those that have, or that they take.
 */
#define PROBE_SOCK(step, call, ...) ({ struct sock *r__ = (call); reference_step(step, __VA_ARGS__); r__; })
#define sk_is_refcounted(sk) ({ bool r__ = sk_is_refcounted(sk); reference_step(STEP_SK_IS_REFCOUNTED, index_of(sk), r__, 0); r__; })
#define skb_steal_sock(skb, refcounted, ...) PROBE_SOCK(STEP_SKB_STEAL_SOCK, skb_steal_sock(skb, refcounted, ##__VA_ARGS__), r__ ? index_of(r__) : NONE, *(refcounted), 0)
#define inet_steal_sock(...) PROBE_SOCK(STEP_INET_STEAL_SOCK, inet_steal_sock(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define inet_iif(skb) ({ int r__ = inet_iif(skb); reference_step(STEP_INET_IIF, r__, 0, 0); r__; })
#define inet_bound_dev_eq(accept, bound, dif, sdif) ({ bool r__ = inet_bound_dev_eq(accept, bound, dif, sdif); reference_step(STEP_INET_BOUND_DEV_EQ, bound, r__, 0); r__; })
#define refcount_inc_not_zero(r) ({ bool r__ = refcount_inc_not_zero(r); reference_step(STEP_REFCOUNT_INC_NOT_ZERO, r__, refcount_read(r), 0); r__; })
#define sock_gen_put(sk) ({ struct sock *s__ = (sk); sock_gen_put(s__); reference_step(STEP_SOCK_GEN_PUT, index_of(s__), refcount_read(&s__->sk_refcnt), 0); })
#define __inet_lookup_established(...) PROBE_SOCK(STEP_INET_LOOKUP_ESTABLISHED, __inet_lookup_established(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define bpf_sk_lookup_run_v4(net, protocol, saddr, sport, daddr, dport, ifindex, psk) ({ bool r__ = bpf_sk_lookup_run_v4(net, protocol, saddr, sport, daddr, dport, ifindex, psk); reference_step(STEP_BPF_SK_LOOKUP_RUN_V4, sock_or_drop(*(psk)), r__, 0); r__; })
#define inet_lookup_run_sk_lookup(...) PROBE_SOCK(STEP_INET_LOOKUP_RUN_SK_LOOKUP, inet_lookup_run_sk_lookup(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define inet_lookup_run_bpf(...) PROBE_SOCK(STEP_INET_LOOKUP_RUN_BPF, inet_lookup_run_bpf(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define compute_score(sk, net, hnum, daddr, ...) ({ int r__ = compute_score(sk, net, hnum, daddr, __VA_ARGS__); if (r__ > 0 || (net_eq(sock_net(sk), net) && (sk)->sk_num == (hnum) && (sk)->sk_rcv_saddr == (daddr))) reference_step(STEP_COMPUTE_SCORE, index_of(sk), r__ > 0 ? r__ : 0, 0); r__; })
#define inet_match(net, sk, cookie, ports, ...) ({ bool r__ = inet_match(net, sk, cookie, ports, __VA_ARGS__); if (r__ || (net_eq(sock_net(sk), net) && (sk)->sk_portpair == (ports) && (sk)->sk_addrpair == (cookie))) reference_step(STEP_INET_MATCH, index_of(sk), r__, 0); r__; })
#define reciprocal_scale(val, ep_ro) ({ u32 r__ = reciprocal_scale(val, ep_ro); reference_step(STEP_RECIPROCAL_SCALE, val, ep_ro, r__); r__; })
#define reuseport_select_sock_by_hash(...) PROBE_SOCK(STEP_REUSEPORT_SELECT_SOCK_BY_HASH, reuseport_select_sock_by_hash(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define run_bpf_filter(...) PROBE_SOCK(STEP_RUN_BPF_FILTER, run_bpf_filter(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define bpf_run_sk_reuseport(...) PROBE_SOCK(STEP_BPF_RUN_SK_REUSEPORT, bpf_run_sk_reuseport(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define reuseport_select_sock(sk, hash, ...) PROBE_SOCK(STEP_REUSEPORT_SELECT_SOCK, reuseport_select_sock(sk, hash, __VA_ARGS__), index_of(sk), hash, sock_or_drop(r__))
#define inet_lookup_reuseport(net, sk, ...) PROBE_SOCK(STEP_INET_LOOKUP_REUSEPORT, inet_lookup_reuseport(net, sk, __VA_ARGS__), index_of(sk), sock_or_drop(r__), 0)
#define inet_lhash2_lookup(net, ilb2, skb, doff, saddr, sport, daddr, ...) PROBE_SOCK(STEP_INET_LHASH2_LOOKUP, inet_lhash2_lookup(net, ilb2, skb, doff, saddr, sport, daddr, __VA_ARGS__), __builtin_bswap32(daddr), sock_or_drop(r__), 0)
#define __inet_lookup_listener(...) PROBE_SOCK(STEP_INET_LOOKUP_LISTENER, __inet_lookup_listener(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define __inet_lookup(...) PROBE_SOCK(STEP_INET_LOOKUP, __inet_lookup(__VA_ARGS__), sock_or_drop(r__), 0, 0)
#define __inet_lookup_skb(...) PROBE_SOCK(STEP_INET_LOOKUP_SKB, __inet_lookup_skb(__VA_ARGS__), sock_or_drop(r__), 0, 0)
