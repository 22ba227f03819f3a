"""What any service needs: clock, timestamps, money, encryption, signatures, version."""
