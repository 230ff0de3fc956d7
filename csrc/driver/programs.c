/* BPF programs: each notes what it is shown, and does what the case says. */

static u32 run_sk_lookup(const struct any_prog *any, void *data)
{
	struct bpf_sk_lookup_kern *ctx = data;

	seen[out->n_shown].lookup = *ctx;
	if (any->assigns) {
		ctx->selected_sk = any->sk;
		ctx->no_reuseport = any->no_reuseport;
	}
	return any->verdict;
}

static u32 run_filter(const struct any_prog *any, void *data)
{
	struct sk_buff *skb = data;

	seen[out->n_shown].skb = *skb;
	seen[out->n_shown].clone = skb == &reference_clone;
	if (any->prog.cb_access)
		*bpf_skb_cb(skb) = 0x7f;	/* what it writes must not be seen behind it */
	return any->verdict;
}

static u32 run_sk_reuseport(const struct any_prog *any, void *data)
{
	struct sk_reuseport_kern *ctx = data;

	seen[out->n_shown].selection = *ctx;
	ctx->selected_sk = any->sk;
	return any->verdict;
}

static u32 reference_run_program(const struct bpf_prog *prog, const void *ctx)
{
	const struct any_prog *any = (const struct any_prog *)prog;
	u32 verdict;

	seen[out->n_shown].any = any;
	reference_visit(POINT_PROGRAM, NULL);
	verdict = any->run(any, (void *)ctx);
	reference_visit(POINT_RAN, NULL);
	out->n_shown += out->n_shown < MAX_SHOWN;
	return verdict;
}
