/* With AddressSanitizer: memory that nobody may touch for a while. Without it these do nothing. */

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif

#ifdef HAVE_ASAN
void __asan_poison_memory_region(const volatile void *from, size_t n_bytes);
void __asan_unpoison_memory_region(const volatile void *from, size_t n_bytes);
void __asan_set_error_report_callback(void (*callback)(const char *report));

static bool reported;

static void on_report(const char *report)
{
	reported = true;
}
#else
#define __asan_poison_memory_region(from, n_bytes) ((void)(from), (void)(n_bytes))
#define __asan_unpoison_memory_region(from, n_bytes) ((void)(from), (void)(n_bytes))
#endif

/* Before the kernel's function runs. */
static void expect_no_report(void)
{
#ifdef HAVE_ASAN
	reported = false;
	__asan_set_error_report_callback(on_report);
#endif
}

/* Behind it: a case in which it touched what is not its own has crashed. */
static void end_if_reported(void)
{
#ifdef HAVE_ASAN
	if (reported)
		reference_stop(ENDED_CRASHED);
#endif
}

static void forbid(const void *from, size_t n_bytes)
{
	__asan_poison_memory_region(from, n_bytes);
}

static void allow(const void *from, size_t n_bytes)
{
	__asan_unpoison_memory_region(from, n_bytes);
}
