/*
 * Asks libseccomp what it makes of a profile, for the tests beside this file.
 *
 *   libseccomp filter < rules     writes the program that it compiles
 *   libseccomp names ARCH < names writes each name's number, negative if there is none
 *
 * Rules are lines of words: first `default ACTION`, then `architecture NAME` for each, then
 * `rule NAME ACTION COUNT` followed by COUNT times `INDEX OPERATOR VALUE VALUE`. Actions and
 * operators are libseccomp's numbers.
 */
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

enum { UNKNOWN_ARCHITECTURE = 3 };

static int fail(const char *what, const char *name, int error)
{
	fprintf(stderr, "%s %s: %s\n", what, name, strerror(-error));
	return 1;
}

static int names(const char *architecture)
{
	uint32_t token = seccomp_arch_resolve_name(architecture);
	char name[256];

	if (token == 0)
		return UNKNOWN_ARCHITECTURE;
	while (scanf("%255s", name) == 1)
		printf("%d\n", seccomp_syscall_resolve_name_arch(token, name));
	return 0;
}

static int add_rule(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp conditions[6];
	char name[256];
	uint32_t action;
	unsigned count;
	int number, result;

	if (scanf("%255s %" SCNu32 " %u", name, &action, &count) != 3 || count > 6)
		return fail("read", "a rule", 0);
	for (unsigned at = 0; at < count; at++) {
		unsigned operator;
		if (scanf("%u %u %" SCNu64 " %" SCNu64, &conditions[at].arg, &operator,
			  &conditions[at].datum_a, &conditions[at].datum_b) != 4)
			return fail("read", "a condition", 0);
		conditions[at].op = operator;
	}
	/* As runc does: the number that the name has on the machine itself. */
	number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR)
		return 0;
	result = seccomp_rule_add_array(filter, action, number, count, conditions);
	return result == 0 ? 0 : fail("add a rule for", name, result);
}

static int filter(void)
{
	scmp_filter_ctx filter;
	uint32_t action;
	char word[64];

	if (scanf("default %" SCNu32, &action) != 1 || !(filter = seccomp_init(action)))
		return fail("make", "a filter", 0);
	/* The architectures of another byte order cannot stand beside the machine's own. */
	seccomp_arch_remove(filter, SCMP_ARCH_NATIVE);
	while (scanf("%63s", word) == 1) {
		if (strcmp(word, "architecture") == 0) {
			if (scanf("%63s", word) != 1)
				return fail("read", "an architecture", 0);
			uint32_t token = seccomp_arch_resolve_name(word);
			if (token == 0)
				return UNKNOWN_ARCHITECTURE;
			int result = seccomp_arch_add(filter, token);
			if (result != 0)
				return fail("add", word, result);
		} else if (add_rule(filter) != 0) {
			return 1;
		}
	}
	int result = seccomp_export_bpf(filter, 1);
	return result == 0 ? 0 : fail("export", "the program", result);
}

int main(int count, char **arguments)
{
	if (count == 3 && strcmp(arguments[1], "names") == 0)
		return names(arguments[2]);
	return filter();
}
