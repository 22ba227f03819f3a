// Verify what Slipway sends: SECRET=… go run verify.go pam TIMESTAMP SIGNATURE < body
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

const window = 300 // seconds

// verifyNotice verifies the headers `timestamp` and `signature` over the body as it arrived, unparsed.
func verifyNotice(secret []byte, timestamp, signature string, body []byte, now int64) bool {
	at, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil || len(timestamp) > 11 {
		return false
	}
	if apart := now - int64(at); apart > window || apart < -window {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(timestamp))
	mac.Write(body)
	return hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(signature))
}

// verifyWalletCall verifies the header `x-amb-signature` over the body as it arrived, unparsed.
func verifyWalletCall(secret []byte, signature string, body []byte) bool {
	expected := base64.StdEncoding.EncodeToString(pbkdf2(body, secret))
	return hmac.Equal([]byte(expected), []byte(signature))
}

// pbkdf2 is PBKDF2-HMAC-SHA512 in 1000 rounds, its first 64 bytes (from Go 1.24 on: crypto/pbkdf2).
func pbkdf2(password, salt []byte) []byte {
	mac := hmac.New(sha512.New, password)
	mac.Write(salt)
	mac.Write([]byte{0, 0, 0, 1})
	round := mac.Sum(nil)
	sum := append([]byte(nil), round...)
	for i := 1; i < 1000; i++ {
		mac.Reset()
		mac.Write(round)
		round = mac.Sum(nil)
		for at := range sum {
			sum[at] ^= round[at]
		}
	}
	return sum
}

func main() {
	secret, given := []byte(os.Getenv("SECRET")), os.Args[1:]
	body, err := io.ReadAll(os.Stdin)
	accepted := false
	if err == nil && given[0] == "pam" {
		now := time.Now().Unix()
		if len(given) > 3 {
			now, err = strconv.ParseInt(given[3], 10, 64)
		}
		accepted = err == nil && verifyNotice(secret, given[1], given[2], body, now)
	} else if err == nil {
		accepted = verifyWalletCall(secret, given[1], body)
	}
	if !accepted {
		fmt.Println("refused")
		os.Exit(1)
	}
	fmt.Println("accepted")
}
