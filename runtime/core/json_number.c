// Numbers: reading those that a double stands for, and writing doubles so that they read back the same.
#include "json_inside.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIGITS = 40 };

// A decimal number as digits without zeros at either end, times a power of ten.
typedef struct decimal {
    char digits[MAX_DIGITS];
    int count;
    long exponent; // of the digit behind the last one
    bool is_negative;
    bool is_long; // more digits than fit
} decimal;

static decimal read_decimal(const char *p, const char *end)
{
    decimal d = {.is_negative = *p == '-'};
    bool in_fraction = false;
    long zeros = 0; // seen since the last other digit
    for (p += d.is_negative; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            in_fraction = true;
            continue;
        }
        if (in_fraction)
            d.exponent--;
        if (*p == '0') {
            zeros += d.count > 0;
            continue;
        }
        if (d.count + zeros >= MAX_DIGITS) {
            d.is_long = true;
            return d;
        }
        while (zeros > 0) {
            d.digits[d.count++] = '0';
            zeros--;
        }
        d.digits[d.count++] = *p;
    }
    d.exponent += zeros;
    if (p < end) {
        bool is_small = *++p == '-';
        long exponent = 0;
        for (p += *p == '-' || *p == '+'; p < end; p++)
            exponent = exponent < 100000000 ? exponent * 10 + (*p - '0') : exponent;
        d.exponent += is_small ? -exponent : exponent;
    }
    if (d.count == 0)
        d.exponent = 0;
    return d;
}

static bool decimal_equal(const decimal *a, const decimal *b)
{
    return !a->is_long && !b->is_long && a->is_negative == b->is_negative && a->count == b->count &&
           a->exponent == b->exponent && memcmp(a->digits, b->digits, (size_t)a->count) == 0;
}

bool json_read_number(const char *raw, size_t size, double *number)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (size <= 15) { // most numbers: a short integer
        size_t i = raw[0] == '-';
        int64_t value = 0;
        while (i < size && raw[i] >= '0' && raw[i] <= '9')
            value = value * 10 + (raw[i++] - '0');
        if (i == size) {
            *number = raw[0] == '-' ? -(double)value : (double)value;
            return true;
        }
    }
    decimal wanted = read_decimal(raw, raw + size);
    if (wanted.is_long)
        return false;
    if (wanted.count <= 15 && wanted.exponent >= -22 && wanted.exponent <= 22) {
        // Both operands are exact, so the result is the nearest double; 15 digits always survive that.
        double value = 0;
        for (int i = 0; i < wanted.count; i++)
            value = value * 10 + (wanted.digits[i] - '0');
        value = wanted.exponent < 0 ? value / powers[-wanted.exponent] : value * powers[wanted.exponent];
        *number = wanted.is_negative ? -value : value;
        return true;
    }
    if (wanted.exponent < -400 || wanted.exponent > 400)
        return false;
    char text[MAX_DIGITS + 24], shortest[32];
    snprintf(text, sizeof(text), "%s%.*se%ld", wanted.is_negative ? "-" : "", wanted.count, wanted.digits,
             wanted.exponent);
    double value = strtod(text, NULL);
    if (!isfinite(value))
        return false;
    size_t shortest_size = json_format_number(shortest, value);
    decimal got = read_decimal(shortest, shortest + shortest_size);
    if (!decimal_equal(&wanted, &got))
        return false;
    *number = value;
    return true;
}

size_t json_format_number(char out[32], double number)
{
    if (fabs(number) < 1e17 && number == (double)(int64_t)number) {
        if (number == 0)
            return (size_t)snprintf(out, 32, signbit(number) ? "-0" : "0");
        return (size_t)snprintf(out, 32, "%lld", (long long)number);
    }
    for (int digits = 15;; digits++) {
        int size = snprintf(out, 32, "%.*g", digits, number);
        if (digits == 17 || strtod(out, NULL) == number)
            return (size_t)size;
    }
}
